"""Pure builders, one file per child: typed spec and names in, the object as a dict out. Nothing here reads or writes."""
