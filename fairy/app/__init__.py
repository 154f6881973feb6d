"""The web page: `fairy app`. It drives `fairy.jobs`, as the command line does."""
