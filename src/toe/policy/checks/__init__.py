"""One rule, one file, one test. Each opens with the rule in an administrator's words; checks never import checks."""
