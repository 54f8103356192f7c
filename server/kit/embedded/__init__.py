"""The embedded servers: a private PostgreSQL and a private Valkey (Redis protocol) out of wheels, under the data folder.

They belong to the data folder, not to a process. Whoever needs them attaches; the first to come starts a *keeper*, a small
process that starts them, restarts one that died, and stops both when the last who is attached has gone, however it went.

    attachment   the side of those who need them: `attach` gives addresses that answer
    keeper       the process that keeps them
    postgres     how a PostgreSQL of ours is made and started
    valkey       the same for Valkey
    system       what both need from the operating system
"""
