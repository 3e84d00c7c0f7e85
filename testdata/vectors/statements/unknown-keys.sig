saguarota-release 1
{"app":"badge","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1,"later":{"a":[1,2.5,null,true]},"App":null}
7ff694af9856cca8 YUwVEqPjyXwam0hW+vIJ1/rLzkEP1WrnBsSB1kkvs4AHx5q6udw7Q3TI0rT9hIszoZK+Rxwc1UHbU53BqTZFDg==
