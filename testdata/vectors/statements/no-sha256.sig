saguarota-release 1
{"app":"badge","version":7,"manifest":{"size":3},"keyset":1}
7ff694af9856cca8 +3BShXl7hSenUKhRKrQmMTBtcZpiiGX23S3Yv9i/waRgSudIOVUePb5w3gnghUwKUhtJ/2GXJDPDXv+R6DCcCA==
