module toe.run/devcluster/testpod

go 1.26
