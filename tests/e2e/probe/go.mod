module toe.run/tests/probe

go 1.26
