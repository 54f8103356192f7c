"""The state a run reads and saves: the same as LangGraph's own saver, fenced, with declared types only."""
