saguarota-release 1
{"app":"badge","version":07,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 KPtM1m7T6Jv9bXq/30Z86+mx4wOh1CWKytK5LLx93SCgA1ysSKk7pPZeXty9wF7irv8VvgNIiJR5CVtD3MYOAg==
