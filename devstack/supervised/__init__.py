"""Programs of devstack's own that run under supervisord. They start light: no profile, no model, no plan."""
