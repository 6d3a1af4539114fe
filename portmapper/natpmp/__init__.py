"""NAT-PMP (RFC 6886)."""
