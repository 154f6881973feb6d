"""From edited clips to a judgement: scores with intervals, tests, comparisons and a report.

One clip of anyone's tool: `pair`. A fixed set, edited in several ways: `methods`, `suite`. What is
measured: `measures`. The result as a document: `results`, `compare`; as a page: `report`.
"""
