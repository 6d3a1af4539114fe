"""What survives this process: the secret of PCP's nonces, and a journal of what is on a gateway because of us."""
