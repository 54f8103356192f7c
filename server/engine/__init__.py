"""Carrying out one job of an agent: the only importer of LangGraph and LangChain, the only async code; on the worker's side."""
