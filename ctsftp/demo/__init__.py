"""A sender to try ctsftp with: sample contacts, a Connect export job with its form's options, and its push by SFTP.

The end-to-end tests export and push with the same parts, so that files go right and wrong as a sender's would.
"""
