saguarota-release 1
{"app":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 jzPxpsFIE+lzYDllqffmjhjjx1Fph8Lq1bDt5Ba7qtl9tjayI7pt+YA4lREy3Q8nn52Y2xTK9MhBCb4Cxw/1AA==
