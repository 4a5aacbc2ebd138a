"""What users write and read: one pydantic model per kind, and the names around it.

The CRD is generated from these models (``tests.harness.crdgen``), and a rule is checked twice: by the API server at
admission and here at run time, because a cluster may still have an older CRD.
"""
