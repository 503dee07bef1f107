"""The console: a read-only server of pages about a namespace, for who may read it. It has no state and writes nothing.

Every request carries the person's own token. The API server says whose it is (TokenReview) and whether that person may list
our kinds in the namespace (SubjectAccessReview); only then are they read, with the console's own account.
"""
