"""Chats: people talk to agents of a workspace, over Socket.IO and REST."""
