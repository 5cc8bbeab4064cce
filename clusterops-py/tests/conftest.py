"""The fixture that the package ships with."""

pytest_plugins = ["clusterops.testing"]
