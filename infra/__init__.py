"""The deployment as code: one file a stack, settings in deployments/<name>.toml."""
