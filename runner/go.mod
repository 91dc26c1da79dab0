module toe.run/runner

go 1.24
