module github.com/cactuscon/saguarota

go 1.26
