saguarota-release 1
{"app":"badge","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":-3},"keyset":1}
7ff694af9856cca8 KdztchhRGEi8tLa39IMDgrCZA1D3nRFiXjMWCsSN9aBt0FrITIUTQ/5c/XfTJGkQor6+PhYMT5kegcSXull0Dw==
