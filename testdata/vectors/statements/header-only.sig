saguarota-release 1
