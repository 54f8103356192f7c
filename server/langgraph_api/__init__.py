"""The dialect of the LangGraph SDK: assistants, threads, runs, crons, store, and the thread protocol, over the one hub."""
