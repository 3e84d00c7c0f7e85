saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca}
7ff694af9856cca8 XsDUWP8hYfcdc0n3UAbtFNrjBe5jKbcutQIBgM0Bmdcwb3VSaE/iu6J60Qzw+q8tWVx/sIkfjIUOjzt6KJQEAA==
