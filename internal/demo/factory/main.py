print("factory: no release installed:", ota.last_error_message or "nothing to install")
