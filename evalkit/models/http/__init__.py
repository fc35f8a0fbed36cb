"""What every service that is asked over HTTP shares: connections, secrets, one guarded call, faults by status."""
