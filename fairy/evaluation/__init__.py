"""Judge edited clips: scores with intervals, significance tests, comparisons and a report.

`pair` aligns one edited clip of any tool with its source. `methods` and `suite` edit a fixed set in
several ways. `measures` and `scores` measure, `results` and `compare` are JSON documents, `report`
is the page.
"""
