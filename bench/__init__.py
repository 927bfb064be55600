"""The harness: plan, train, evaluate, measure and track the rows of a sweep."""
