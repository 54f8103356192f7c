"""What agents and programs remember beyond a thread: items in namespaces, found by key, by filter or by meaning."""
