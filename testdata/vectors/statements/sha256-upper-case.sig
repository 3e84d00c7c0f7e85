saguarota-release 1
{"app":"badge","version":7,"manifest":{"sha256":"CA3D163BAB055381827226140568F3BEF7EAAC187CEBD76878E0B63E9E442356","size":3},"keyset":1}
7ff694af9856cca8 ipr6UYJYHYiE+kC6GbslqYRocNj2SO1VF5P88gV0Pi2m9hjZ/jFZfNU64fS176ww8KX1qeLCtonWhpqQLqk3Aw==
