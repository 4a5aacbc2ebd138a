"""What users write and read: one pydantic model per kind, and the names around it.

The CRD is generated from these models (``tests.harness.crdgen``), so a rule is written once and holds twice: in the
API server at admission, and here at run time, because a cluster may still carry an older CRD. Nothing in this package
decides anything about a mirror, and nothing in it does I/O.
"""
