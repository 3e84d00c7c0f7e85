saguarota-release 1
{"app":"badge","version":1700000000,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
94791ff1a359224f cJ0h79g7huEiXxYr4XPZGO9NLydA9hW0SrhsU3TnjsudJE4y95CcoU3lFw9o4QVQLqZf0GeZ9IqL+t16tobJBw==
