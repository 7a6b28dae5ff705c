from twisted.web.error import Error

class AWSError(Error):
    def __init__(
        self,
        xml_bytes: bytes,
        status: bytes | int,
        message: object = ...,
        response: bytes | None = ...,
    ) -> None: ...
