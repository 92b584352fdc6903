"""ctsftp: the SFTP landing server for client defined segments."""
