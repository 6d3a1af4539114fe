"""Why can nobody reach this host: `examine` gathers what can be seen from here, `verdict` says what is wrong."""
