"""Threads: conversations that programs name, each with the state that its runs leave and go on with."""
