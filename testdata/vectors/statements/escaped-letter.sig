saguarota-release 1
{"app":"b\u0061dge","version":7,"manifest":{"sha256":"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356","size":3},"keyset":1}
7ff694af9856cca8 NV6pAcxyAU0LGiozi1roHm0qARcQTMoAjTW5K3oixlMHoK5SXG1Yhqw08oFde4dSIf/a+pkmpgWfu6WZDDjIAw==
