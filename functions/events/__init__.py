"""Events of users, logged and folded."""
