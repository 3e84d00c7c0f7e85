saguarota-release 1
{"app":"badge","version":7,"keyset":1}
7ff694af9856cca8 uJHCRy39Zq//3Sy9wAQfnGMF/nRQ/XmTUZkhCKpT4tlROxhLduiSmcrxgGNJRcHoFpmV0EXrfoMmQhYnMcZLAQ==
