def register(backend): pass
