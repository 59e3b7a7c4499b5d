"""What Lambda's Python has under this name, as far as its documentation says."""

_before, _after = [], []


def register_before_snapshot(hook, *args, **kwargs):
    _before.append((hook, args, kwargs))
    return hook


def register_after_restore(hook, *args, **kwargs):
    _after.append((hook, args, kwargs))
    return hook


def get_before_snapshot():
    """Called from the last to the first."""
    return _before


def get_after_restore():
    return _after
