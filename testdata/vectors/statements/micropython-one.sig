saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"micropython":"1"}
7ff694af9856cca8 LLM7f2TIPAjC0xsZKJKnDfYhF++AVlnR+aT6/BIoM2N3MD/bLNjptH1sdyjU1Ei8zboSw60Ut9GanJOvtc48Dg==
