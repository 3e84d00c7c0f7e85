saguarota-release 1
{"app":"badge","version":7,"manifest":{"sha256":"a3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 70iHKnMGqefSh7DfDMMMMudOaIn1fqhw945XxUueaA9I0bwspVMSOD2/9Qoeujt//dVworEYxHGJw2KKzNDNAA==
