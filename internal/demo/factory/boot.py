# What a badge leaves the factory with: just enough to get its first release.
import json
from saguarota import OTAUpdater

with open("settings.json") as f:
    url = json.load(f)["update_url"]

ota = OTAUpdater(manifest_url=url + "/versions.json", base_file_url=url + "/")
ota.check_and_perform_ota()
