"""Tools that know no agent, chat or user."""
