"""A generic client: it learns the API from the running gateway and has none of our code.

    python examples/reflection.py [ADDRESS] < article.txt

Needs grpcio-reflection and protobuf. `grpcurl` and other tools that speak reflection work the same way.
"""

import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToJson
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def main() -> None:
    """Send standard input as an article and print the answer as JSON."""
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50050"
    with grpc.insecure_channel(address) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName("khulasa.v1.Gateway").FindMethodByName("ProcessArticle")
        request = GetMessageClass(method.input_type)(article={"text": sys.stdin.read()})
        call = channel.unary_unary(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        print(MessageToJson(call(request, timeout=300), ensure_ascii=False))


if __name__ == "__main__":
    main()
