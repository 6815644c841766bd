"""What every interLink plugin shares. Start at `interlink_common.backend` to write one of your own."""
