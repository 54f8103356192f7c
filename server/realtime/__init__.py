"""How what happens reaches whoever listens: the event log (the database), the bell (Redis), and the tail that joins both."""
