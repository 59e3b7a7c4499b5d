"""What a function's package is made of: pinned wheels, unpacked and trimmed; our code; a model."""
