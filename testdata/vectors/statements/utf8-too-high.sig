saguarota-release 1
{"app":"bô€€dge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 xPxpwXBcnrj1TWESJaVOvmwcsQwxsRD5SI2uMypF4O0CvHRMDJWh/6ilXBUJyTaiP8e5XguLHMpdKGuzql7oCw==
